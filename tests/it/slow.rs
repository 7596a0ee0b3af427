//! A coordinator that is slow is waited for, one that is hung is not: only an answer of its process tells which it is.

mod left;
