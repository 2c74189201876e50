//! Files and commands: brings one destination in step, and makes software take it up.
