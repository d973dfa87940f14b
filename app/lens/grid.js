// The levels that weights are rounded to: a stem on each, as high as it has weights, in front of what is rounded.
const gridView = {
  dials: ["bits"],
  own: "Levels",
  alt: "Levels that the weights are rounded to, with the number of weights on each",

  legend: lens => [["outline", `${lens.leaf?.what ?? "weights"} per bin, before`], ["stem", "weights on a level"], ["ring", "level not used"]],

  at(lens, i) {
    const { ends, levels, counts, beyond, of } = lens.ladders.bits
    const from = i ? ends[i - 1] : 0
    return { levels: levels.subarray(from, ends[i]), counts: counts.subarray(from, ends[i]), beyond: beyond[i], of: of[i] }
  },

  facts(lens, i) {
    const { off, nbytes, values } = lens.ladders.bits
    if (Number.isNaN(nbytes[i]) || !lens.leaf) return null
    const { levels, counts, of } = this.at(lens, i)
    if (i === off) return ["none", "every weight keeps its own value"]
    if (!levels.length) return [count(2 ** values[i]), "closer together than can be drawn"]
    const used = counts.filter(n => n > 0).length
    const apart = [...levels.slice(1)].reduce((least, level, n) => Math.min(least, level - levels[n]), Infinity)
    const where = of ? `of ${of}` : ""
    const told = [used < levels.length ? `${count(used)} used` : "", Number.isFinite(apart) ? `${value(apart, lens.leaf.most)} apart` : "", where]
    return [count(levels.length), told.filter(Boolean).join(", ")]
  },

  draw(surface, lens, i) {
    const { g, colours } = surface
    const { off, nbytes } = lens.ladders.bits
    if (!lens.leaf) {
      const box = surface.frame([-1, 1], [0, 1])
      surface.sentence(lens.waiting(), box)
      return box
    }
    const reach = 1.04 * lens.leaf.most
    const box = surface.frame([-reach, reach], [0.6, 1.6 * lens.leaf.count], { logarithmic: true })
    surface.axes(box, { x: lens.leaf.what.includes("weights") ? "weight" : `value in the ${lens.leaf.what}`, y: "weights (log)",
      format: x => minus(String(+x.toPrecision(6))), rise: short })
    const { levels, counts, beyond, of } = this.at(lens, i)
    g.save()
    g.beginPath()
    g.rect(box.left, box.top, box.right - box.left, box.bottom - box.top + 4)
    g.clip()
    if (levels.length && beyond > 0) {
      g.fillStyle = surface.hatch(colours.gone, false)
      g.fillRect(box.left, box.top, box.x(levels[0]) - box.left, box.bottom - box.top)
      g.fillRect(box.x(levels.at(-1)), box.top, box.right - box.x(levels.at(-1)), box.bottom - box.top)
    }
    const edges = binEdges(lens.leaf.counts.length, lens.leaf.most)
    if (i === off) {
      g.fillStyle = colours.kept
      lens.leaf.counts.forEach((n, bin) => {
        const [x0, x1] = [surface.snap(box.x(edges[bin])), surface.snap(box.x(edges[bin + 1]))]
        if (n) g.fillRect(x0, box.y(n), x1 - x0, box.bottom - box.y(n))
      })
    }
    surface.outline(box, edges, lens.leaf.counts, colours.old)
    const close = levels.length > 64
    g.strokeStyle = g.fillStyle = colours.kept
    g.lineWidth = close ? 1 : 2
    levels.forEach((level, n) => {
      const [x, y] = [box.x(level), box.y(counts[n])]
      if (counts[n]) {
        surface.line(x, box.bottom, x, y)
        g.beginPath()
        g.arc(x, y, close ? 1.6 : 3.2, 0, 7)
        g.fill()
      } else {
        g.save()
        g.strokeStyle = colours.muted
        g.lineWidth = 1.2
        g.beginPath()
        g.arc(x, box.bottom - 3, close ? 1.2 : 2.6, 0, 7)
        g.stroke()
        g.restore()
      }
    })
    g.restore()
    const notes = []
    if (beyond > 0 && levels.length) notes.push(`${share(beyond, beyond < 0.001 ? 2 : 1)} beyond the last level`)
    if (of) notes.push(`levels of ${of}`)
    if (Number.isNaN(nbytes[i])) surface.sentence(lens.waiting(), box)
    else if (!levels.length && i !== off) surface.sentence("The levels are closer together than can be drawn.", box)
    if (notes.length) surface.label(notes.join(" · "), box.right, box.top + 11, box, { align: "right" })
    surface.label(`largest: ${fixed(lens.leaf.most / (lens.leaf.far || lens.leaf.most), 1)} × the 99.9th percentile`, box.left, box.top + 11,
      box, { align: "left", weight: 400, colour: colours.muted })
    return box
  },
}
