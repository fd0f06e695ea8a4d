//! A throwaway PostgreSQL cluster of its own: found binaries, initdb, start, stop and remove.
