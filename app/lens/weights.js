// Which weights pruning removes: kept in blue, removed hatched, as trained in outline; zeros are a number and not a bar.
const weightsView = {
  dials: ["sparsity"],
  own: "Removed",
  alt: "Histogram of the layer's weights: as trained, kept and removed",

  legend: lens => [["outline", "as trained"], ["fill", lens.moved ? "stored" : "kept"], ...(lens.moved ? [] : [["hatch", "removed"]])],

  facts(lens, i) {
    const { zeros, threshold } = lens.ladders.sparsity
    if (Number.isNaN(zeros[i])) return null
    const { count: all, most } = lens.weights
    const until = Number.isNaN(threshold[i]) ? "" : `, |w| ≤ ${value(threshold[i], most)}`
    return [share(zeros[i], 0), `${count(Math.round(zeros[i] * all))} of ${count(all)} set to zero${until}`]
  },

  // Of each bin how many are still there; null where that is not known yet.
  kept(lens, i) {
    const { zeros, threshold, row, kept } = lens.ladders.sparsity
    if (Number.isNaN(zeros[i])) return null
    if (row[i] >= 0) return kept.subarray(row[i] * lens.bins, (row[i] + 1) * lens.bins)
    if (Number.isNaN(threshold[i])) return lens.before
    const { counts, most } = lens.weights
    const [half, wide] = [counts.length / 2, 2 * most / counts.length]
    const left = counts.map((n, bin) => {
      const inner = wide * (bin < half ? half - 1 - bin : bin - half)
      return n * Math.min(1, Math.max(0, (inner + wide - threshold[i]) / wide))
    })
    return joined(left, lens.bins)
  },

  draw(surface, lens, i) {
    const { g, colours } = surface
    const reach = lens.shared ? lens.largest : lens.weights.most
    const top = Math.max(...lens.before) || 1
    const room = surface.height - PAD.top - PAD.bottom
    const above = room / Math.max(room - 26, 1) // the label stands over the highest bin
    const box = surface.frame([-reach, reach], lens.log ? [0.5, 0.5 * (2.2 * top) ** above] : [0, above * top], { logarithmic: lens.log })
    surface.axes(box, { x: "weight", y: "weights per bin", format: x => minus(String(+x.toPrecision(6))), rise: short })
    const kept = this.kept(lens, i)
    const threshold = lens.ladders.sparsity.threshold[i]
    const edges = lens.edges
    g.save()
    g.beginPath()
    g.rect(box.left, box.top, box.right - box.left, box.bottom - box.top + 1)
    g.clip()
    if (threshold > 0) {
      g.fillStyle = surface.hatch(colours.gone, false)
      g.fillRect(box.x(-threshold), box.top, box.x(threshold) - box.x(-threshold), box.bottom - box.top)
    }
    if (kept) {
      for (let bin = 0; bin < lens.bins; bin++) {
        const [x0, x1] = [surface.snap(box.x(edges[bin])), surface.snap(box.x(edges[bin + 1]))]
        const [y, old] = [box.y(kept[bin]), box.y(lens.before[bin])]
        if (!lens.moved && lens.before[bin] > kept[bin]) {
          g.fillStyle = surface.hatch(colours.gone, true)
          g.fillRect(x0, old, x1 - x0, y - old)
        }
        if (kept[bin] > 0) {
          g.fillStyle = colours.kept
          g.fillRect(x0, y, x1 - x0, box.bottom - y)
        }
      }
    }
    surface.outline(box, edges, lens.before, colours.old)
    if (threshold > 0) {
      g.strokeStyle = colours.gone
      g.lineWidth = 1.5
      g.setLineDash([5, 4])
      for (const at of [-threshold, threshold]) surface.line(box.x(at), box.top, box.x(at), box.bottom)
      g.setLineDash([])
    }
    g.restore()
    if (!kept) surface.sentence(lens.waiting(), box)
    else if (threshold > 0) {
      surface.label(`${lens.ladders.sparsity.texts[i]} removed, |w| ≤ ${value(threshold, lens.weights.most)}`, box.x(0), box.top + 11, box)
    } else if (lens.ladders.sparsity.zeros[i] > 0) {
      surface.label(`${share(lens.ladders.sparsity.zeros[i], 0)} are zero`, box.x(0), box.top + 11, box)
    }
    return box
  },

  // The rung that has its threshold nearest to a place in the picture.
  drag(lens, box, place) {
    const [{ threshold }, wanted] = [lens.ladders.sparsity, Math.abs(box.value(place))]
    let best = -1
    threshold.forEach((t, i) => {
      if (!Number.isNaN(t) && (best < 0 || Math.abs(t - wanted) < Math.abs(threshold[best] - wanted))) best = i
    })
    return best >= 0 && wanted < threshold[best] / 2 && best === threshold.findIndex(t => !Number.isNaN(t)) ? 0 : best
  },
}
