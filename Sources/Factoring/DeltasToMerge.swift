public import LinearAlgebra
public import Spectra
import Tensors

/// What several adapters change of one weight, before it becomes one.
///
/// Adapters without a target here, and those at strength 0, are not among them.
public struct DeltasToMerge {
  /// One adapter's part.
  public struct Member: Sendable {
    /// Its place among the recipe's inputs.
    public let source: Int
    /// What its delta is multiplied by; not 0. Of an adapter that has the module in parts, of the first of them.
    public let strength: Double
    /// The places of its terms in the sum.
    let terms: [Int]
  }

  /// All terms with their strengths.
  public let delta: DeltaSum
  /// In the order of the inputs.
  public let members: [Member]
  /// How many components the result may have at most.
  public let limit: Int
  /// What the weight is called under any dialect: what random choices begin with.
  public let name: String
  private let workspace: FactorWorkspace

  /// - Parameters:
  ///   - delta: with the members' strengths.
  ///   - sources: of its terms.
  init(_ delta: DeltaSum, sources: [Int], limit: Int, name: String, _ workspace: FactorWorkspace) {
    (self.delta, self.limit, self.name, self.workspace) = (delta, limit, name, workspace)
    var order: [Int] = [], places: [Int: [Int]] = [:]
    for (place, term) in delta.terms.enumerated() where term.strength != 0 {
      if places[sources[place]] == nil { order.append(sources[place]) }
      places[sources[place], default: []].append(place)
    }
    members = order.map {
      Member(source: $0, strength: delta.terms[places[$0]![0]].strength, terms: places[$0]!)
    }
  }

  /// Rows and columns of the weight seen as a matrix.
  public var rows: Int { delta.rows }
  /// Columns of the weight seen as a matrix.
  public var columns: Int { delta.columns }

  /// ⟨Dₛ, Dₜ⟩ of the members' deltas at their strengths: members × members.
  ///
  /// - Throws: `AdapterError` when a factor holds NaN or infinity.
  public func innerProducts() throws -> Matrix {
    let core = try delta.core(in: workspace), cores = members.map { core.core(weights: weights(of: $0)) }
    var inners = Matrix(zeros: cores.count, cores.count)
    for i in cores.indices { for j in cores.indices { inners[i, j] = cores[i].inner(cores[j]) } }
    return inners
  }

  /// The members' deltas at their strengths in factors: up is rows × r, with strength and scale in it, down r × columns.
  ///
  /// - Throws: `AdapterError` when a factor holds NaN or infinity.
  public func factors() throws -> [(up: Matrix, down: Matrix)] {
    try delta.requireFinite()
    delta.load(into: workspace)
    let up = Matrix(rows: rows, columns: delta.componentCount, elements: Array(workspace.up))
    let down = Matrix(rows: delta.componentCount, columns: columns, elements: Array(workspace.down))
    let weights = delta.weights
    return members.map { member in
      let components = member.terms.flatMap { Array(delta.ranges[$0]) }
      return (
        up.selecting(columns: components).scalingColumns(by: components.map { weights[$0] }),
        down.selecting(rows: components)
      )
    }
  }

  private func weights(of member: Member) -> [Double] {
    let all = delta.weights
    var own = [Double](repeating: 0, count: all.count)
    for term in member.terms { for component in delta.ranges[term] { own[component] = all[component] } }
    return own
  }
}
