//! Issuing: verify, approve, prepare (lint), sign. Never touches the store, HTTP or the runtime.
