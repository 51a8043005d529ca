import Testing

@testable import Reports

/// Tables line up and fit the terminal.
@Suite struct TextTableTests {
  private var table: TextTable {
    var table = TextTable(.name("target"), .word("kind"), .number("rank"))
    table.add("lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn1_to_q", "linear", "4")
    table.add("short", "conv", "128")
    return table
  }

  @Test("without a limit every cell is whole and columns are aligned")
  func unlimited() {
    let lines = table.lines(width: .max)
    #expect(lines.count == 3)
    #expect(lines[1] == "lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn1_to_q  linear     4")
    #expect(lines[2].hasSuffix("conv     128"))
    #expect(lines[0].hasPrefix("target ") && lines[0].hasSuffix("rank"))
  }

  @Test("names give way so that a row fits, keeping both ends", arguments: [80, 60, 40, 32])
  func narrow(width: Int) {
    let lines = table.lines(width: width)
    #expect(lines.allSatisfy { $0.count <= width })
    #expect(lines[1].hasPrefix("lora") && lines[1].contains("…") && lines[1].contains("to_q"))
  }

  @Test("two long names share what has to go")
  func shared() {
    var table = TextTable(.name("a"), .name("b"))
    table.add(String(repeating: "x", count: 50), String(repeating: "y", count: 50))
    let line = table.lines(width: 42)[1]
    #expect(line.count == 42)
    #expect(line.count { $0 == "x" } == 19 && line.count { $0 == "y" } == 19)
  }

  @Test("numbers are never cut, even when a row cannot fit")
  func tooNarrow() {
    var table = TextTable(.name("a"), .number("n"))
    table.add("abcdefghijklmnopqrstuvwxyz", "1234567890")
    #expect(table.lines(width: 5)[1].hasSuffix("1234567890"))
  }
}
