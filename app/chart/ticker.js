// Asks for the part of the page it stands in to be drawn again, so long as there is work: once after each answer.
const timers = new WeakMap()
const questions = new WeakMap() // the newest of each: when it was asked, and on which page
const RECENT = 2000 // ms

export default function ({ data, parentElement, setTriggerValue }) {
  clearTimeout(timers.get(parentElement))
  let asked = 0
  // Asked again after a while: of two parts that ask in one moment, Streamlit may run only one.
  const ask = () => {
    if (!settled(data.page)) return timers.set(parentElement, setTimeout(ask, 50))
    questions.set(parentElement, { at: performance.now(), number: data.number })
    setTriggerValue("tick", `${data.seq}.${asked++}`)
    timers.set(parentElement, setTimeout(ask, 1500 + data.ms))
  }
  const last = questions.get(parentElement)
  const missed = last && last.number !== data.number && performance.now() < last.at + RECENT
  if (data.live || missed) timers.set(parentElement, setTimeout(ask, data.ms))
  return whenLeft(parentElement, () => clearTimeout(timers.get(parentElement)))
}
