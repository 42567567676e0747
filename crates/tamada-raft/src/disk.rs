//! What a voter must not forget, on disk.
