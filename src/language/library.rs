//! Where graph files come from: folders on disk first, then those built into the binary.
