//! Log lines: text for a person, JSON for a machine; constant messages, values as fields.
