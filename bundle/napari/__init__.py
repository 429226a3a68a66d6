"""The plug-in for napari, found by it through `napari.yaml`; nothing else of the bundle needs what this imports."""
