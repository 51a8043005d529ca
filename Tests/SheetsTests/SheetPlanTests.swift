import Factoring
import Images
import Kernels
import Testing

@testable import Sheets

@Suite struct SheetPlanTests {
  private func use(_ name: String, _ strength: Double = 1, file: Int = 0) -> AdapterUse {
    AdapterUse(file: file, input: AdapterInput(path: "\(name).safetensors", strength: strength))
  }

  private func plan(
    _ prompts: [SheetPlan.Prompt] = [SheetPlan.Prompt("a fox")], seeds: [UInt64] = [1], given: [AdapterUse] = [],
    _ columns: SheetPlan.Columns = .none, sheetOnly: Bool = false
  ) throws -> SheetPlan {
    try SheetPlan(
      prompts: prompts, seeds: seeds, given: given, columns: columns, sheetOnly: sheetOnly, output: "out.png")
  }

  @Test("one prompt with one seed is one picture, and no sheet")
  func single() throws {
    let plan = try plan(given: [use("a", 0.8)])
    #expect(plan.sheet == nil && plan.outputs == ["out.png"] && plan.pictures[0].uses == [use("a", 0.8)])
    #expect(try plan.sheetSize(MapSize(height: 64, width: 64), caption: "") == nil)
  }

  @Test("a sweep multiplies all strengths, and its column of 0 shows the base")
  func sweep() throws {
    let plan = try plan(given: [use("a", 0.8), use("b", 0.5, file: 1)], .sweep([0, 0.5, 1]))
    #expect(plan.columnLabels == ["base", "a 0.4 + b 0.25", "a 0.8 + b 0.5"] && plan.columnCount == 3)
    #expect(plan.pictures.map(\.uses.count) == [0, 2, 2])
    #expect(plan.outputs == ["out-01.png", "out-02.png", "out-03.png", "out.png"])
  }

  @Test("a grid has the base, each adapter alone, and all together, at each of its numbers but 0")
  func grid() throws {
    let plan = try plan(given: [use("a"), use("b", file: 1)], .grid([0, 1]), sheetOnly: true)
    #expect(plan.columnLabels == ["base", "a 1", "b 1", "a 1 + b 1"] && plan.outputs == ["out.png"])
    #expect(plan.pictures.allSatisfy { $0.path == nil })
  }

  @Test("a prompt's tags are in its own pictures, and only where all adapters are")
  func tags() throws {
    let tagged = SheetPlan.Prompt(original: "<lora:b> a fox", text: " a fox", tags: [use("b", file: 1)])
    let plan = try plan([tagged, SheetPlan.Prompt("a cat")], given: [use("a")], .grid([1]))
    #expect(plan.columnLabels == ["base", "a 1", "a 1 + tags"] && plan.rowLabels == [" a fox", "a cat"])
    #expect(plan.pictures.map { $0.uses.map(\.file) } == [[], [0], [0, 1], [], [0], [0]])
    // What is the same in two pictures is rendered once: the cat without tags, in the second and the third column.
    #expect(plan.groups.map(\.places) == [[[0], [3]], [[1], [4, 5]], [[2]]])
  }

  @Test("prompts and seeds are laid out by themselves")
  func layout() throws {
    let prompts = [SheetPlan.Prompt("a fox"), SheetPlan.Prompt("a cat")]
    let both = try plan(prompts, seeds: [7, 8, 9])
    #expect(both.columnCount == 3 && both.columnLabels == ["seed 7", "seed 8", "seed 9"])
    #expect(both.rowLabels == ["a fox", "a cat"] && both.pictures.map(\.seed) == [7, 8, 9, 7, 8, 9])
    let seeds = try plan(seeds: Array(1...5))
    #expect(seeds.columnCount == 3 && seeds.rowLabels == ["seeds 1-3", "seeds 4-5"])
    let sheet = seeds.contactSheet(
      Array(repeating: RGBImage(width: 8, height: 8, filledWith: .white), count: 5), caption: "")
    #expect(sheet.images.map { $0.map { $0 != nil } } == [[true, true, true], [true, true, false]])
  }

  @Test("more pictures than a sheet has places for are refused")
  func tooMany() throws {
    let error = try #require(throws: SheetError.self) { try plan(seeds: Array(0...10_000)) }
    #expect(error.kind == .tooManyPictures(limit: 10_000, prompts: 1, seeds: 10_001, columns: 1))
    #expect(error.description == "expected at most 10000 pictures, found 1 prompts x 10001 seeds x 1 columns")
  }
}
