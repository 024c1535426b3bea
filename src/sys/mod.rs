//! The host's operating system: files, addresses, programs.
