//! The command line: parse, call, and the exit code.
