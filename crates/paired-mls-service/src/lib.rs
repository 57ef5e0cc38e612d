//! Delivery service and directory of Paired MLS.
