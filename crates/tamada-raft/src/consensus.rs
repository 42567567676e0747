//! The consensus library, fitted to our disk, our keys and our links.
