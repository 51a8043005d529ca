import Factoring
public import Images
public import Kernels

/// The pictures of a sheet, or a single one: what each shows, which adapters are in it, where it goes, and its place.
public struct SheetPlan: Sendable {
  /// As many as one sheet has: each has a file, and a place on a picture of limited size.
  public static let mostPictures = 10_000

  /// What the columns of a sheet differ in.
  public enum Columns: Sendable, Equatable {
    /// Nothing: prompts and seeds are laid out by themselves.
    case none
    /// One column for each number, which multiplies all strengths.
    case sweep([Double])
    /// The base alone, each adapter alone, and all together, at each of the numbers.
    case grid([Double])
  }

  /// A prompt without its tags, and what the tags ask for.
  public struct Prompt: Sendable {
    /// As it was written.
    public let original: String
    /// Without tags: what the text encoders read.
    public let text: String
    /// Adapters that its tags name, with the tags' strengths, in the order of the tags.
    public let tags: [AdapterUse]

    /// - Parameters:
    ///   - original: with tags, for the texts in files.
    ///   - text: without them, for the text encoders.
    public init(original: String, text: String, tags: [AdapterUse]) {
      (self.original, self.text, self.tags) = (original, text, tags)
    }

    /// One without tags.
    public init(_ text: String) { self.init(original: text, text: text, tags: []) }
  }

  /// A place of the sheet, with all that it shows.
  public struct Picture: Sendable {
    /// The text of the picture's row, and what its tags ask for.
    public let prompt: Prompt
    /// Of the noise that the picture begins with.
    public let seed: UInt64
    /// Those that change something.
    public let uses: [AdapterUse]
    /// `nil` where only the sheet is written.
    public fileprivate(set) var path: String?
  }

  /// Pictures with the same weights. What is the same in two pictures is rendered once.
  struct Group {
    let uses: [AdapterUse]
    /// Each picture to render, with all the places in `pictures` that show it.
    var places: [[Int]]
  }

  /// Row by row.
  public private(set) var pictures: [Picture] = []
  /// Of the sheet; the last row may be shorter.
  public let columnCount: Int
  /// One for each row; empty where there is one row that needs none.
  public let rowLabels: [String]
  /// One for each column; empty where rows say it all.
  public let columnLabels: [String]
  /// Where the sheet goes; `nil` for a single picture.
  public let sheet: String?

  /// What one column of a grid or sweep adds to the base.
  private struct Variant {
    var uses: [AdapterUse]
    var factor = 1.0
    /// What the prompt's tags are multiplied with; 0 leaves them out.
    var tagFactor: Double

    func label(hasTags: Bool) -> String {
      var parts = uses.map { $0.scaled(by: factor) }.filter(\.hasEffect).map(\.label)
      if hasTags, tagFactor != 0 { parts.append(tagFactor == 1 ? "tags" : "tags x \(tagFactor.shortText)") }
      return parts.isEmpty ? "base" : parts.joined(separator: " + ")
    }
  }

  /// - Parameters:
  ///   - given: adapters of all prompts.
  ///   - sheetOnly: whether of several pictures only the sheet is written.
  ///   - output: the name of the sheet or the single picture, which ends in `.png`; those of a sheet are `-01.png` and so on.
  /// - Throws: `SheetError` for more than `mostPictures`.
  public init(
    prompts: [Prompt], seeds: [UInt64], given: [AdapterUse], columns: Columns = .none, sheetOnly: Bool = false,
    output: String
  ) throws(SheetError) {
    precondition(!prompts.isEmpty && !seeds.isEmpty, "a sheet has a prompt and a seed")
    let hasTags = prompts.contains { !$0.tags.isEmpty }
    let variants = Self.variants(given, hasTags: hasTags, columns)
    let (rows, isHuge) = prompts.count.multipliedReportingOverflow(by: seeds.count)
    guard !isHuge, rows <= Self.mostPictures, rows * variants.count <= Self.mostPictures else {
      throw SheetError(
        .tooManyPictures(
          limit: Self.mostPictures, prompts: prompts.count, seeds: seeds.count, columns: variants.count))
    }
    for prompt in prompts {
      for seed in seeds {
        for variant in variants {
          let uses =
            variant.uses.map { $0.scaled(by: variant.factor) } + prompt.tags.map { $0.scaled(by: variant.tagFactor) }
          pictures.append(Picture(prompt: prompt, seed: seed, uses: uses.filter(\.hasEffect), path: nil))
        }
      }
    }
    func label(_ prompt: Prompt, _ seed: UInt64) -> String {
      switch (prompts.count > 1, seeds.count > 1) {
      case (true, true): "seed \(seed)\n\(prompt.text)"
      case (true, false): prompt.text
      case (false, _): "seed \(seed)"
      }
    }
    if columns != .none {
      columnCount = variants.count
      columnLabels = variants.map { $0.label(hasTags: hasTags) }
      rowLabels =
        prompts.count * seeds.count > 1 ? prompts.flatMap { prompt in seeds.map { label(prompt, $0) } } : []
    } else if prompts.count > 1, seeds.count > 1 {
      columnCount = seeds.count
      columnLabels = seeds.map { "seed \($0)" }
      rowLabels = prompts.map(\.text)
    } else if prompts.count > 1 {
      columnCount = 1
      columnLabels = []
      rowLabels = prompts.map(\.text)
    } else {
      let count = Int(Double(seeds.count).squareRoot().rounded(.up))
      columnCount = count
      columnLabels = []
      rowLabels = stride(from: 0, to: seeds.count, by: count).map {
        let last = min($0 + count, seeds.count) - 1
        return last == $0 ? "seed \(seeds[$0])" : "seeds \(seeds[$0])-\(seeds[last])"
      }
    }
    let hasSheet = columns != .none || pictures.count > 1
    sheet = hasSheet ? output : nil
    guard !(hasSheet && sheetOnly) else { return }
    let digits = max(2, "\(pictures.count)".count), stem = output.dropLast(4)
    for index in pictures.indices {
      let number = "\(index + 1)"
      let padded = String(repeating: "0", count: digits - number.count) + number
      pictures[index].path = hasSheet ? "\(stem)-\(padded).png" : output
    }
  }

  private static func variants(_ given: [AdapterUse], hasTags: Bool, _ columns: Columns) -> [Variant] {
    let factors: [Double]
    switch columns {
    case .none: return [Variant(uses: given, tagFactor: 1)]
    case .sweep(let numbers): return numbers.map { Variant(uses: given, factor: $0, tagFactor: $0) }
    case .grid(let numbers): factors = numbers
    }
    // The base has a column of its own.
    let others = factors.filter { $0 != 0 }
    let alone = given.flatMap { use in others.map { Variant(uses: [use], factor: $0, tagFactor: 0) } }
    let together =
      given.count > 1 || hasTags ? others.map { Variant(uses: given, factor: $0, tagFactor: $0) } : []
    return [Variant(uses: [], tagFactor: 0)] + alone + together
  }

  /// All files that are written.
  public var outputs: [String] { pictures.compactMap(\.path) + (sheet.map { [$0] } ?? []) }

  /// The pictures by their weights, so that weights are made once for each set of adapters and strengths.
  var groups: [Group] {
    var groups: [Group] = []
    for (index, picture) in pictures.enumerated() {
      guard let group = groups.firstIndex(where: { $0.uses == picture.uses }) else {
        groups.append(Group(uses: picture.uses, places: [[index]]))
        continue
      }
      let same = groups[group].places.firstIndex {
        pictures[$0[0]].prompt.text == picture.prompt.text && pictures[$0[0]].seed == picture.seed
      }
      if let same { groups[group].places[same].append(index) } else { groups[group].places.append([index]) }
    }
    return groups
  }

  /// - Parameter images: of the pictures.
  public func contactSheet(_ images: [RGBImage], caption: String) -> ContactSheet {
    let rows = stride(from: 0, to: images.count, by: columnCount).map { start in
      (start..<start + columnCount).map { images.indices.contains($0) ? images[$0] : nil }
    }
    return ContactSheet(images: rows, rowLabels: rowLabels, columnLabels: columnLabels, caption: caption)
  }

  /// How large the sheet will be, with pictures of this size; `nil` for a single picture.
  ///
  /// - Throws: `ImageError.tooManyPixels`.
  public func sheetSize(_ size: MapSize, caption: String) throws(ImageError) -> (width: Int, height: Int)? {
    guard sheet != nil else { return nil }
    let blank = RGBImage(width: size.width, height: size.height, filledWith: .white)
    return try contactSheet(Array(repeating: blank, count: pictures.count), caption: caption).pixelSize()
  }
}
