public import Adapters
public import LinearAlgebra
import Tensors

/// A weighted sum of deltas of one base weight, kept in factored form: Σ strengthₜ · scaleₜ · upₜ · downₜ.
///
/// The factors of all terms stand side by side in one product up · diag(w) · down of rank Σ rₜ, so that anything
/// computed from it is exact. A single adapter's delta is the sum of one term.
public struct DeltaSum: Sendable {
  /// One delta of the sum.
  public struct Term: Sendable {
    /// Where its factors and its scale are.
    public let target: Target
    /// The file the target came from, for messages.
    public let file: String
    /// What its delta is multiplied by, beside its own scale; may be 0 or negative.
    public let strength: Double

    /// At its own size, if no strength is given.
    public init(_ target: Target, of file: String, strength: Double = 1) {
      (self.target, self.file, self.strength) = (target, file, strength)
    }
  }

  /// In the order in which their factors stand side by side.
  public let terms: [Term]
  /// Rows and columns of the delta seen as a matrix.
  public let rows: Int
  /// Columns of the delta seen as a matrix.
  public let columns: Int
  /// The components that belong to each term.
  public let ranges: [Range<Int>]

  /// The sizes of scales whose squares, and those of what they are multiplied with, are numbers.
  private static let scales = 1e-100...1e100

  /// - Throws: `AdapterError` when the terms' deltas differ in shape (`factorShape`), or one's scale is nothing that can
  ///   be reckoned with (`scaleOutOfRange`).
  public init(_ terms: [Term]) throws(AdapterError) {
    precondition(!terms.isEmpty, "a sum needs a term")
    self.terms = terms
    let first = terms[0].target
    (rows, columns) = (first.rows, first.columns)
    for term in terms where term.target.extents != first.extents {
      throw AdapterError(
        .problem(
          AdapterProblem(
            .factorShape(expected: "\(first.shape) as in \(terms[0].file)", found: "\(term.target.shape)"),
            target: term.target.name)),
        path: term.file)
    }
    for term in terms
    where !Self.scales.contains(term.target.scale.magnitude)
      && (term.target.scale != 0 || (term.target.alpha ?? 0) != 0)
    {
      throw AdapterError(
        .problem(AdapterProblem(.scaleOutOfRange(found: term.target.scale), target: term.target.name)), path: term.file)
    }
    var start = 0
    ranges = terms.map { term in
      defer { start += term.target.rank }
      return start..<start + term.target.rank
    }
  }

  /// The number of components of all terms.
  public var componentCount: Int { ranges.last!.upperBound }

  /// How many singular values the sum can have: the smallest of components, rows and columns.
  public var valueCount: Int { min(componentCount, rows, columns) }

  /// strength · scale for each component.
  public var weights: [Double] {
    terms.flatMap { Array(repeating: $0.strength * $0.target.scale, count: $0.target.rank) }
  }

  /// The weights of one term alone at strength 1; zero for all other components.
  public func weights(ofTerm index: Int) -> [Double] {
    var weights = [Double](repeating: 0, count: componentCount)
    for component in ranges[index] { weights[component] = terms[index].target.scale }
    return weights
  }

  /// Reads all factors into `workspace` as doubles: up (rows × components) and down (components × columns).
  public func load(into workspace: FactorWorkspace) {
    workspace.prepare(up: rows * componentCount, down: componentCount * columns)
    for (term, range) in zip(terms, ranges) {
      term.target.loadUp(rows: 0..<rows, into: workspace.up, columns: range, of: componentCount)
      term.target.copyDown(
        to: UnsafeMutableBufferPointer(
          rebasing: workspace.down[range.lowerBound * columns..<range.upperBound * columns]))
    }
    forget()
  }

  /// The inner products of all factors' components. What is in `workspace` afterwards is of no use.
  ///
  /// - Throws: `AdapterError` naming the target when a factor holds NaN or infinity.
  public func grams(in workspace: FactorWorkspace) throws -> FactorGrams {
    let parts = FactorParts(of: self, in: workspace)
    guard !parts.isWhole else { return try grams(loadedIn: workspace) }
    var ups = GramSums(count: componentCount), downs = ups
    parts.forEachUp { ups.add(columns: UnsafeBufferPointer($1)) }
    parts.forEachDown { downs.add(rows: UnsafeBufferPointer($1)) }
    do { return try FactorGrams(up: ups, down: downs) } catch { throw explained(error) }
  }

  private func grams(loadedIn workspace: FactorWorkspace) throws -> FactorGrams {
    do {
      return try FactorGrams(
        up: UnsafeBufferPointer(workspace.up), down: UnsafeBufferPointer(workspace.down), rows: rows, columns: columns,
        rank: componentCount)
    } catch {
      throw explained(error)
    }
  }

  /// The files' pages are not needed for a while.
  func forget() {
    for term in terms { for (_, tensor) in term.target.stored { tensor.bytes.forget() } }
  }

  /// Reduces the product to its core. The factors in `workspace` may be overwritten.
  ///
  /// - Throws: `AdapterError` naming the target when a factor holds NaN or infinity.
  public func core(in workspace: FactorWorkspace) throws -> ProductCore {
    load(into: workspace)
    return ProductCore(try grams(loadedIn: workspace), up: workspace.up, down: workspace.down)
  }

  /// The terms as Kronecker products, where all are whole ones of equal shapes; `nil` otherwise.
  ///
  /// - Throws: `AdapterError` naming the target when a factor holds NaN or infinity.
  func kroneckerProducts() throws -> KroneckerProducts? {
    let pairs = terms.compactMap(\.target.kronecker)
    guard pairs.count == terms.count,
      Set(pairs.map { [$0.first.shape[0], $0.first.shape[1], $0.second.shape[0]] }).count == 1
    else { return nil }
    do {
      return try KroneckerProducts(pairs.map { ($0.first.matrix, $0.second.matrix) })
    } catch {
      throw explained(error)
    }
  }

  /// Refuses factors that hold NaN or infinity, before they are used for anything else than a decomposition.
  ///
  /// - Throws: `AdapterError` naming the target.
  package func requireFinite() throws {
    if let fault { throw fault }
  }

  /// The target and factor behind NaN or infinity.
  func explained(_ error: LinearAlgebraError) -> any Error {
    guard error.kind == .notFinite, let fault else { return error }
    return fault
  }

  /// The first target and factor with NaN or infinity, or without a delta.
  private var fault: AdapterError? {
    for term in terms {
      for (factor, tensor) in term.target.stored {
        let count = tensor.doubles().count { !$0.isFinite }
        guard count > 0 else { continue }
        return AdapterError(
          .problem(AdapterProblem(.notFinite(factor: factor, count: count), target: term.target.name)), path: term.file)
      }
      if let problem = term.target.missingDelta { return AdapterError(.problem(problem), path: term.file) }
    }
    return nil
  }
}

extension Tensor {
  /// As doubles, with a kernel's points as more columns.
  var matrix: Matrix {
    let (rows, columns) = shape.flattened
    return Matrix(rows: rows, columns: columns, elements: doubles())
  }
}

/// Memory for the factors of one delta, made once for each thread and reused.
public final class FactorWorkspace {
  private let upMemory = ReusableMemory<Double>(), downMemory = ReusableMemory<Double>()
  /// The up factors side by side, rows × components, in the memory that the next delta will take.
  public private(set) var up = UnsafeMutableBufferPointer<Double>(start: nil, count: 0)
  /// The down factors one below the other, components × columns, in the memory that the next delta will take.
  public private(set) var down = UnsafeMutableBufferPointer<Double>(start: nil, count: 0)

  /// Empty; it grows with the largest delta that it has held.
  public init() {}

  func prepare(up upCount: Int, down downCount: Int) {
    up = upMemory.room(for: upCount)
    down = downMemory.room(for: downCount)
  }
}
