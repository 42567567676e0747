//! Nothing: the manifests beside this file are read, not built.
