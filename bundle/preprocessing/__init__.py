"""From a stack to what the network sees: resampling and z-scores of the voxels that are image."""
