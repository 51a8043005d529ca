extension String {
  /// The text as one field of a CSV line (RFC 4180).
  var csvField: String {
    contains { $0 == "," || $0 == "\"" || $0.isNewline } ? "\"" + replacing("\"", with: "\"\"") + "\"" : self
  }
}
