//! The dashboard's pages: values of the API in, HTML out.
//!
//! It gathers nothing and decides nothing: `pinrail-server` asks the control plane for a page's value, and this crate
//! writes it. It must not name the store, the control plane, clocks or sockets.
