//! Configuration and composition: the only place that names an implementation.
