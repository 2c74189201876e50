//! What a refused configuration leaves as it is: everything.
