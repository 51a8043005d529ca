/// One scale of SSIMULACRA2: two pictures of the same size go through row by row, and only the rows that the window sees
/// are kept.
struct PerceptualScale {
  private static let components = 3
  /// Per component a, b, a², b² and ab.
  private static let lines = 5 * components

  /// For X, Y and B - Y.
  private(set) var errors: [PerceptualErrors]

  private let width: Int
  /// The colours of the last rows, of the original and then of the other picture. Row y lies at y modulo 9, here and below.
  private var colors: [Float]
  /// One row of lines, each with zeros at both ends.
  private var padded: [Double]
  /// The last rows of lines, blurred along x. Rows above and below the picture are zero.
  private var blurredRows: [Double]
  /// One row of lines, blurred along x and y.
  private var blurred: [Double]

  init(_ a: LinearPicture, _ b: LinearPicture) {
    width = a.width
    errors = [PerceptualErrors](repeating: PerceptualErrors(), count: Self.components)
    colors = [Float](repeating: 0, count: PerceptualBlur.rows * 2 * Self.components * width)
    padded = [Double](repeating: 0, count: Self.lines * (width + 2 * PerceptualBlur.reach))
    blurredRows = [Double](repeating: 0, count: PerceptualBlur.rows * Self.lines * width)
    blurred = [Double](repeating: 0, count: Self.lines * width)
    for row in 0..<a.height + PerceptualBlur.reach {
      if row < a.height { read(row, of: a, b) } else { clear(row) }
      if row >= PerceptualBlur.reach { addErrors(row: row - PerceptualBlur.reach) }
    }
  }

  private static func slot(_ row: Int) -> Int { (row + PerceptualBlur.rows) % PerceptualBlur.rows }

  /// Takes in one row of both pictures, blurred along x.
  private mutating func read(_ row: Int, of a: LinearPicture, _ b: LinearPicture) {
    let (width, reach, slot) = (width, PerceptualBlur.reach, Self.slot(row))
    let stride = width + 2 * reach
    colors.withUnsafeMutableBufferPointer { colors in
      let first = colors.baseAddress! + slot * 2 * Self.components * width
      let second = first + Self.components * width
      a.writeOpsinColors(row: row, to: first)
      b.writeOpsinColors(row: row, to: second)
      padded.withUnsafeMutableBufferPointer { padded in
        for component in 0..<Self.components {
          let line = padded.baseAddress! + 5 * component * stride + reach
          for column in 0..<width {
            let x = Double(first[component * width + column])
            let y = Double(second[component * width + column])
            line[column] = x
            line[stride + column] = y
            line[2 * stride + column] = x * x
            line[3 * stride + column] = y * y
            line[4 * stride + column] = x * y
          }
        }
        blurredRows.withUnsafeMutableBufferPointer { rows in
          let target = rows.baseAddress! + slot * Self.lines * width
          for line in 0..<Self.lines {
            PerceptualBlur.blurLine(padded.baseAddress! + line * stride, to: target + line * width, count: width)
          }
        }
      }
    }
  }

  /// A row below the picture.
  private mutating func clear(_ row: Int) {
    let start = Self.slot(row) * Self.lines * width
    for place in start..<start + Self.lines * width { blurredRows[place] = 0 }
  }

  /// Blurs along y around a row and adds its errors.
  private mutating func addErrors(row: Int) {
    let (width, count) = (width, Self.lines * width)
    blurred.withUnsafeMutableBufferPointer { blurred in
      blurredRows.withUnsafeBufferPointer { rows in
        PerceptualBlur.blurColumns(to: blurred.baseAddress!, count: count) { distance in
          rows.baseAddress! + Self.slot(row + distance) * count
        }
      }
      colors.withUnsafeBufferPointer { colors in
        let first = colors.baseAddress! + Self.slot(row) * 2 * Self.components * width
        for component in 0..<Self.components {
          let a = first + component * width
          errors[component].add(
            a, a + Self.components * width, blurred: blurred.baseAddress! + 5 * component * width, count: width)
        }
      }
    }
  }
}
