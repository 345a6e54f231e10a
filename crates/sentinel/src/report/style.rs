//! The look of reports and check lists: one style sheet for screen, telephone and paper.
//!
//! No file, font or script from anywhere else: a page is complete in itself, so that it can be
//! kept for years and sent by mail. States are told by words and signs besides colours.

/// The style sheet.
pub(crate) const CSS: &str = "
:root{--ink:#1c2430;--soft:#5b6675;--line:#d9dee5;--paper:#fff;--wash:#f5f7f9;
--ok:#2e7d32;--partial:#b26a00;--down:#b71c1c;--unknown:#6b7280}
*{box-sizing:border-box}
body{margin:0;background:var(--wash);color:var(--ink);
font:16px/1.5 system-ui,-apple-system,'Segoe UI',Roboto,'DejaVu Sans',sans-serif}
main{max-width:60rem;margin:0 auto;padding:1rem}
header{padding:.5rem 0 1rem}
h1{font-size:1.5rem;line-height:1.25;margin:0}
h2{font-size:1.25rem;margin:0 0 .75rem}
h3{font-size:1rem;margin:1.5rem 0 .5rem}
p{margin:.35rem 0}
.soft{color:var(--soft);font-size:.875rem}
section{background:var(--paper);border:1px solid var(--line);border-radius:.5rem;
padding:1rem;margin:0 0 1rem}
.note{border-left:.25rem solid var(--partial);background:#fff8e6;padding:.5rem .75rem;margin:.75rem 0}
.cards{display:grid;grid-template-columns:repeat(auto-fit,minmax(9.5rem,1fr));gap:.5rem}
.card{border:1px solid var(--line);border-radius:.5rem;padding:.6rem .75rem}
.card b{display:block;font-size:1.35rem;line-height:1.25;font-variant-numeric:tabular-nums}
.card span{color:var(--soft);font-size:.8125rem}
.wide{overflow-x:auto}
table{border-collapse:collapse;width:100%;font-size:.9rem}
th,td{text-align:left;vertical-align:top;padding:.4rem .6rem;border-bottom:1px solid var(--line)}
th{color:var(--soft);font-weight:600;font-size:.8125rem}
thead th{border-bottom:2px solid var(--line)}
td.n,th.n{text-align:right;font-variant-numeric:tabular-nums}
td.n,.id{white-space:nowrap}
.ok{color:var(--ok)}.partial{color:var(--partial)}.down{color:var(--down)}
.unknown{color:var(--unknown)}
b.ok,b.partial,b.down,b.unknown{white-space:nowrap}
svg{display:block;width:100%;height:auto;max-width:48rem}
svg text{font:8px system-ui,'DejaVu Sans',sans-serif;fill:#5b6675}
svg .sign{font-weight:700;fill:#fff;text-anchor:middle}
.key{display:flex;flex-wrap:wrap;gap:.25rem 1rem;font-size:.8125rem;color:var(--soft);margin:.25rem 0 0}
.sign-line{display:grid;grid-template-columns:1fr 1fr;gap:2.5rem;margin-top:3.5rem}
.sign-line div{border-top:1px solid var(--ink);padding-top:.35rem;font-size:.875rem}
footer{padding:.5rem 0 2rem}
@media (max-width:40rem){main{padding:.5rem}section{padding:.75rem}
h1{font-size:1.25rem}thead{display:none}
tr{display:block;padding:.4rem 0;border-bottom:1px solid var(--line)}
td,td.n{display:flex;justify-content:space-between;gap:1rem;padding:.1rem 0;border:0;text-align:right}
td::before{content:attr(data-l);color:var(--soft);text-align:left;flex:0 0 auto;max-width:45%}
td:first-child{font-weight:600;text-align:left}td:first-child::before{content:none}}
@media print{@page{margin:14mm}body{background:#fff;font-size:11pt}
main{max-width:none;padding:0}section{border:0;padding:0 0 6mm;margin:0;break-before:auto}
section+section{break-before:page}h3{break-after:avoid}tr,svg,.cards,.sign-line{break-inside:avoid}
*{-webkit-print-color-adjust:exact;print-color-adjust:exact}}
";
