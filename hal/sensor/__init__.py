"""Line sensors: the protocol, and what a scene file says about its bands."""
