import TestSupport
import Testing

@testable import Images

@Suite struct ContactSheetTests {
  @Test("every picture stands in its place, untouched, and an empty place is pale")
  func pictures() throws {
    let pictures = (0..<5).map { picture(width: 40, height: 30, seed: UInt64($0)) }
    let grid = [[pictures[0], pictures[1], pictures[2]], [pictures[3], nil, pictures[4]]]
    let sheet = ContactSheet(
      images: grid, rowLabels: ["before", "after"], columnLabels: ["a", "b", "c"], caption: "three\nlines\nof caption")
    let layout = try SheetLayout(sheet)
    let drawn = try sheet.drawn()
    #expect(drawn.width == layout.width && drawn.height == layout.height)
    for row in 0..<2 {
      for column in 0..<3 {
        let empty = RGBImage(width: 40, height: 30, filledWith: ContactSheet.Palette.empty)
        let cell = drawn.cropped(to: layout.cell(row: row, column: column))
        #expect(cell == grid[row][column] ?? empty)
      }
    }
    #expect(try sheet.drawn() == drawn)
  }

  @Test("each label is written where the layout has it, in its colour")
  func labels() throws {
    let sheet = ContactSheet(
      images: [[RGBImage(width: 300, height: 100, filledWith: .white)]], rowLabels: ["rank 8"], columnLabels: ["0.75"],
      caption: "Steps: 20", scale: 2)
    let layout = try SheetLayout(sheet)
    #expect(layout.lines.map(\.text) == ["rank 8", "0.75", "Steps: 20"])
    let drawn = try sheet.drawn()
    for line in layout.lines {
      let size = (BitmapFont.width(of: line.text) * 2, BitmapFont.height * 2)
      let part = drawn.cropped(to: PixelRectangle(x: line.x, y: line.y, width: size.0, height: size.1))
      var expected = RGBImage(width: size.0, height: size.1, filledWith: ContactSheet.Palette.ground)
      expected.draw(line.text, x: 0, y: 0, scale: 2, color: line.color)
      #expect(part == expected)
    }
    // The label of a row ends left of its picture and is centred, that of a column is centred above it.
    let cell = layout.cell(row: 0, column: 0)
    let (rowLine, columnLine) = (layout.lines[0], layout.lines[1])
    #expect(rowLine.x + 2 * BitmapFont.width(of: "rank 8") < cell.x)
    #expect(abs(rowLine.y + 2 * BitmapFont.baseline / 2 + 2 - (cell.y + 50)) <= 2)
    #expect(abs(2 * columnLine.x + 2 * BitmapFont.width(of: "0.75") - (2 * cell.x + 300)) <= 2)
  }

  @Test("texts of any length stay on the sheet, off the pictures and off each other")
  func room() throws {
    let seed = UInt64.random(in: 0..<(.max))
    var generator = SplitMix64(seed: seed)
    func text(_ length: Int) -> String {
      String((0..<generator.below(length)).map { _ in Array("abcM WiiW_. \né…")[generator.below(15)] })
    }
    for _ in 0..<100 {
      let (rows, columns) = (1 + generator.below(3), 1 + generator.below(4))
      let picture = RGBImage(width: 20 + generator.below(600), height: 5 + generator.below(300), filledWith: .black)
      let sheet = ContactSheet(
        images: Array(repeating: Array(repeating: picture, count: columns), count: rows),
        rowLabels: generator.below(3) == 0 ? [] : (0..<rows).map { _ in text(80) },
        columnLabels: generator.below(3) == 0 ? [] : (0..<columns).map { _ in text(80) }, caption: text(900))
      let layout = try SheetLayout(sheet)
      let bounds = PixelRectangle(x: 0, y: 0, width: layout.width, height: layout.height)
      var taken: [PixelRectangle] = []
      for row in 0..<rows { for column in 0..<columns { taken.append(layout.cell(row: row, column: column)) } }
      for line in layout.lines where !line.text.isEmpty {
        let width = BitmapFont.width(of: line.text) * sheet.scale
        let box = PixelRectangle(x: line.x, y: line.y, width: width, height: BitmapFont.height * sheet.scale)
        #expect(bounds.contains(box), "seed \(seed)")
        #expect(taken.allSatisfy { $0.intersection(box) == nil }, "seed \(seed)")
        taken.append(box)
      }
      #expect(taken.allSatisfy(bounds.contains), "seed \(seed)")
    }
  }

  @Test("the font grows with the pictures")
  func scale() {
    func scale(_ width: Int) -> Int {
      ContactSheet(images: [[nil, RGBImage(width: width, height: 8, filledWith: .white)]]).scale
    }
    #expect([64, 256, 512, 768, 1024].map(scale) == [1, 1, 2, 2, 4])
    #expect(ContactSheet(images: [[RGBImage(width: 8, height: 8, filledWith: .white)]], scale: 3).scale == 3)
  }

  @Test("pictures of different sizes and sheets without bounds are refused")
  func refusals() throws {
    let picture = RGBImage(width: 20, height: 10, filledWith: .white)
    let other = RGBImage(width: 20, height: 11, filledWith: .white)
    let different = #expect(throws: ImageError.self) { try ContactSheet(images: [[picture, other]]).drawn() }
    #expect(different?.description == "size: expected 20x10, found 20x11")
    let large = RGBImage(width: 4096, height: 4096, filledWith: .white)
    let sheet = ContactSheet(images: Array(repeating: Array(repeating: large, count: 3), count: 3))
    let tooLarge = #expect(throws: ImageError.self) { try sheet.drawn() }
    guard case .tooManyPixels = tooLarge?.kind else {
      Issue.record("\(String(describing: tooLarge))")
      return
    }
  }
}
