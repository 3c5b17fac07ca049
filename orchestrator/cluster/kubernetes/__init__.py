"""A sweep as objects of Kubernetes, for KubeRay: what is asked for is checked and sized, then written as plain dicts."""
