extension String {
  /// The text as one field of a CSV line (RFC 4180).
  ///
  /// By scalars: readers end a field at a comma, whatever combining mark follows it.
  var csvField: String {
    guard unicodeScalars.contains(where: { ",\"\n\r".unicodeScalars.contains($0) }) else { return self }
    var field = "\""
    for scalar in unicodeScalars {
      if scalar == "\"" { field += "\"" }
      field.unicodeScalars.append(scalar)
    }
    return field + "\""
  }
}
