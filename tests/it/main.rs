//! The one integration binary.

mod layers;
mod source;
mod tidy;
