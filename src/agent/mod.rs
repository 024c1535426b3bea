//! The controller on a Docker host: observe, check, plan, execute, verify, report.
