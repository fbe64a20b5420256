// What the two inline scripts of OHIF's own page set; the Content-Security-Policy allows no inline script.
console.time('scriptToView');
window.PUBLIC_URL = '/viewer/';
window.browserImportFunction = module => import(module);
