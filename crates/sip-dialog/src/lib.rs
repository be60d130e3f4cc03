//! Dialogs (RFC 3261 §12) and their usages, and digest authentication (RFC 3261 §22, RFC 8760).
