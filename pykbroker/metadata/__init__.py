"""Topics, partitions and settings of the cluster: an immutable image, its store, its changes."""
