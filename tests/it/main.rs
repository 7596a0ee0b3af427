//! The one integration binary: a module for each promise.
