"""CardiacValveLandmarks: heart-valve landmarks, trajectories and annuli from long-axis cine MR."""

__version__ = "0.1.0"
