//! Routes of the HTTPS API, one file each.
