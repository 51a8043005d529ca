/// A stored format of numbers, applied to one weight: decodes tiles of its rows.
///
/// All formats are one: value = table[code] · step − offset, in single precision and in this order, the product rounded before
/// the subtraction. They differ in where codes, steps and offsets stand.
public protocol WeightCodec: Sendable {
  /// What people call the format: `Q4_K`, `nf4`.
  var name: String { get }
  /// What a number takes on the disk, steps and offsets included.
  var bitsPerWeight: Double { get }
  /// Of the matrix that the codes stand for: outputs.
  var rows: Int { get }
  /// Of the matrix that the codes stand for: inputs, with a kernel's extents.
  var columns: Int { get }

  /// What the numbers can be moved on; `nil` for a format that is only read.
  var grid: CodeGrid? { get }

  /// Writes what rows stand for, row-major.
  ///
  /// - Precondition: the rows are the weight's, and `numbers` has room for exactly them.
  func decode(rows: Range<Int>, into numbers: UnsafeMutableBufferPointer<Float>)

  /// Looks at steps that are few, so that no NaN and no nonsense of theirs becomes a weight.
  ///
  /// - Throws: `CodecError` naming the tensor that has them.
  func requireSteps() throws(CodecError)
}

extension WeightCodec {
  /// Most formats can do more than be read, and say so.
  public var grid: CodeGrid? { nil }

  /// Nothing is known of them without reading the whole weight.
  public func requireSteps() throws(CodecError) {}

  /// How many numbers there are.
  public var count: Int { rows * columns }
}

/// Why the parts of a weight do not make one.
public struct CodecError: Error, Equatable, CustomStringConvertible {
  /// The tensor by its name in the module: `weight_scale`.
  public let part: String
  /// What it should be, and what it is.
  public let expected: String, found: String

  /// An error about a part of a weight.
  public init(_ part: String, expected: String, found: String) {
    (self.part, self.expected, self.found) = (part, expected, found)
  }

  /// Without the weight's name.
  public var description: String { "\(part): expected \(expected), found \(found)" }
}
