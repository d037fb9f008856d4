//! Tests of aqueduct against libzmq; everything is in `tests/`.
