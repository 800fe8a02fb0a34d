"""`cvl mesh-map`: a ring's motion as boundary conditions on the nodes of somebody's mesh."""

from __future__ import annotations

import argparse

from ..landmarks import VALVES
from .numbers import positive


def add_parser(subparsers) -> None:
    parser = subparsers.add_parser(
        "mesh-map",
        help="a ring's motion on the nodes of your own mesh",
        description="Prescribes a valve ring's motion on a node set or boundary of MESH and writes it in the mesh's "
        "own format, with a report of distances. The mesh is taken to be at end-diastole, in patient coordinates.",
    )
    parser.add_argument("study", metavar="study.json")
    parser.add_argument("mesh", metavar="MESH", help=".inp, .feb, .vtp, .vtu or .msh")
    parser.add_argument(
        "--set",
        required=True,
        dest="set_name",
        metavar="NAME",
        help="node set (.inp, .feb), surface or edge (.feb), point or cell array or NAME=VALUE of it (.vtp, .vtu), "
        "physical group (.msh)",
    )
    parser.add_argument("-o", "--output", required=True, metavar="DIR")
    parser.add_argument("--valve", default="mitral", choices=VALVES)
    parser.add_argument("--space", default="LPS", choices=("LPS", "RAS"), help="of the mesh's coordinates")
    parser.add_argument("--scale", type=positive, default=1.0, metavar="MM", help="millimetres in a unit of the mesh")
    parser.add_argument(
        "--method", default="segment", choices=("segment", "node"), help="nearest place, or nearest node"
    )
    parser.add_argument(
        "--within", type=positive, metavar="MM", help="nodes of the set further from the ring stay free"
    )
    parser.add_argument("--farthest", type=positive, default=10.0, metavar="MM", help="further than this is an error")
    parser.add_argument("--rr", type=positive, metavar="MS", help="length of the beat, instead of the study's")
    parser.add_argument("--overwrite", action="store_true", help="replace files of an earlier run")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    from ..export.mesh_files import MeshPlace, prescribe
    from ..study_io import study_from_json

    report, written = prescribe(
        study_from_json(options.study),
        options.mesh,
        options.set_name,
        options.output,
        valve=options.valve,
        place=MeshPlace(options.space, options.scale),
        method=options.method,
        within_mm=options.within,
        farthest_mm=options.farthest,
        rr_ms=options.rr,
        overwrite=options.overwrite,
    )
    distance = report["distance_mm"]
    assumed = " (its shape is assumed)" if report["ring_is_assumed_shape"] else ""
    print(
        f"{report['nodes_prescribed']} nodes follow the {report['valve']} ring{assumed}; "
        f"{report['nodes_left_free']} of the set stay free.\n"
        f"Distance from the ring: median {distance['median']:.2f} mm, largest "
        f"{distance['largest']:.2f} mm (node {report['farthest_node']})."
    )
    for remark in report["remarks"]:
        print(remark)
    for path in written:
        print(path)
    return 0
