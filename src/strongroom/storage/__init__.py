"""The storage endpoint, trusted alone: an Azure-Blob-compatible server that only adds."""
