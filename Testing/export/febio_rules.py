"""What FEBio 4's reader asks of a deck beyond its schema: checked, since there is no FEBio to run here.

Each rule names where it stands in FEBio's sources.
"""

from __future__ import annotations

from collections import Counter
from itertools import pairwise
from xml.etree import ElementTree as ET


def problems(root: ET.Element, alone: bool = True) -> list[str]:
    """What FEBio would refuse or take otherwise than meant. alone: a whole deck, not only sections to include."""
    found = []
    sections = [section.tag for section in root]
    # FEBioImport::Load
    if alone and sections[:1] != ["Module"]:
        found.append("the first section is not Module")
    # names are looked up when a section is read: FEBioMeshDomainsSection4, FEBioBoundarySection
    for earlier, later in (("Material", "MeshDomains"), ("Mesh", "MeshDomains"), ("MeshDomains", "Boundary")):
        if sections.index(earlier) > sections.index(later):
            found.append(f"{later} stands before {earlier}")
    found += [f"section {tag} stands {n} times" for tag, n in Counter(sections).items() if n > 1]
    # FEBioImport::Load, GetStep: version 4 makes no solver by itself
    if alone and root.find("Control/solver") is None:
        found.append("Control has no solver")
    nodes = [node.get("id") for node in root.iterfind("Mesh/Nodes/node")]
    used = [word for elem in root.iterfind("Mesh/Elements/elem") for word in elem.text.split(",")]
    found += [f"node {node} stands {n} times" for node, n in Counter(nodes).items() if n > 1]
    found += [f"element node {node} does not exist" for node in sorted(set(used) - set(nodes))]
    # FEMesh removes nodes without elements
    found += [f"node {node} belongs to no element" for node in sorted(set(nodes) - set(used))]
    # FELinearTrussDomain::Init
    for domain in root.iterfind("MeshDomains/BeamDomain"):
        area = domain.find("cross_sectional_area")
        if area is None or not float(area.text) > 0:
            found.append(f"{domain.get('name')} has no cross-sectional area above 0")
    sets = {node_set.get("name"): node_set.text.split(",") for node_set in root.iterfind("Mesh/NodeSet")}
    if len(sets) < len(root.findall("Mesh/NodeSet")):
        found.append("two node sets of one name")
    # FEBioLoadDataSection3: each id is one more than the controllers there are
    controllers = {c.get("id"): c for c in root.iterfind("LoadData/load_controller")}
    if list(controllers) != [str(number) for number in range(1, len(root.findall("LoadData/load_controller")) + 1)]:
        found.append("load controllers are not numbered 1, 2, 3 ...")
    prescribed, curves = Counter(), Counter()
    for bc in root.iterfind("Boundary/bc"):
        curves[bc.find("value").get("lc")] += 1
        members = sets.get(bc.get("node_set"))
        if members is None:
            found.append(f"{bc.get('name')}: no node set {bc.get('node_set')}")
        for node in members or ():
            prescribed[node, bc.find("dof").text] += 1
            if node not in nodes:
                found.append(f"{bc.get('name')}: no node {node}")
    # FENode::set_bc: the later of two conditions on a degree of freedom wins
    found += [f"{dof} of node {node} is prescribed {n} times" for (node, dof), n in prescribed.items() if n > 1]
    found += [f"no load controller {lc}" for lc in sorted(set(curves) - set(controllers))]
    found += [f"load controller {lc} is not used" for lc in sorted(set(controllers) - set(curves))]
    period = _period(root) if alone else None
    for lc, controller in controllers.items():
        times, values = zip(*(map(float, point.text.split(",")) for point in controller.iter("pt")), strict=True)
        if any(b <= a for a, b in pairwise(times)):
            found.append(f"load controller {lc}: times do not increase")
        # PointCurve: REPEAT goes back from the last point to the first
        if values[0] != values[-1]:
            found.append(f"load controller {lc}: the cycle is not closed")
        if period is not None and (times[0] != 0 or abs(times[-1] - period) > 1e-9 * period):
            found.append(f"load controller {lc}: from {times[0]} to {times[-1]} s, the analysis takes {period} s")
    return found


def _period(root: ET.Element) -> float:
    return int(root.find("Control/time_steps").text) * float(root.find("Control/step_size").text)
