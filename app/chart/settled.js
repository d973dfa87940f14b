// Whether a part of a page may ask by itself to be drawn again: not while the page is being drawn, and not once another page was pressed.
// A question names the page it stands on, and after the order for another page it would take that one away again.
const PAGES = "[data-testid=stTopNavLink], [data-testid=stSidebarNavLink]"
const PATIENCE = 10000 // ms until a press that led nowhere is forgotten
let pressed // the path of the page that was pressed last, until something else is, and when

function settled(page) {
  if (pressed && !pressed.path.endsWith(`/${page}`) && performance.now() < pressed.at + PATIENCE) return false
  return ["notRunning", undefined].includes(document.querySelector("[data-testid=stApp]")?.dataset.testScriptState)
}

document.addEventListener("click", ({ target }) => {
  const link = target.closest?.(PAGES)
  pressed = link ? { path: link.pathname, at: performance.now() } : undefined
}, true)
addEventListener("popstate", () => { pressed = undefined })
