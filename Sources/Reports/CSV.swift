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

extension String {
  /// Text that others wrote as one field: an apostrophe stands before what a spreadsheet would take for a formula.
  var csvText: String {
    guard let first = unicodeScalars.first, "=+-@\t\r".unicodeScalars.contains(first) else { return csvField }
    return ("'" + self).csvField
  }
}
