//! The server's schedule.
