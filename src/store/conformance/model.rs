//! Random operations give the same answers on every store, in groups or one by one, and leave the same
//! data.
