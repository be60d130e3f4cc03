//! Whole-system tests: RFC sections and stories, in virtual time.
