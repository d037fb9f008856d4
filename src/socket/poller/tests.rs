//! What only the inside of a poller shows.
