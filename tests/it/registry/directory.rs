//! What only a directory has.
