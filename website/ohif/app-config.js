// OHIF as the portal's viewer: one data source, this site's own DICOMweb, with the session's cookie.

// OHIF goes to /viewer/notfoundstudy by itself when something fails: keep the first address for the way back.
const PORTAL_START = window.location.pathname + window.location.search;

// Opened from a share, everything is asked for under the share's own root, which shows what was shared and no more.
const PORTAL_SHARE = new URLSearchParams(window.location.search).get('share');
const PORTAL_ROOT = /^[0-9a-f-]{36}$/.test(PORTAL_SHARE || '') ? '/dicom-web/shares/' + PORTAL_SHARE : '/dicom-web';

window.config = {
  name: 'config/portal.js',
  routerBasename: '/viewer/',
  extensions: [],
  modes: [],
  // On a phone the list of series would leave no room for the image: there it opens by its arrow.
  modesConfiguration:
    window.innerWidth < 768
      ? { '@ohif/mode-longitudinal': { routes: { 0: { layoutInstance: { props: { leftPanelClosed: { $set: true } } } } } } }
      : {},
  // Without this, a guided tour covers the images at the first visit.
  customizationService: { 'ohif.tours': { $set: [] } },
  showStudyList: false,
  maxNumberOfWebWorkers: 3,
  showWarningMessageForCrossOrigin: false,
  showCPUFallbackMessage: false,
  showLoadingIndicator: true,
  strictZSpacingForVolumeViewport: true,
  investigationalUseDialog: { option: 'never' },
  showErrorDetails: 'production',
  // Searches and metadata fail with an XMLHttpRequest (.status), frames with an Error whose text names the status.
  httpErrorHandler: error => {
    const status = (error && error.status) || Number((/status (\d{3})/.exec(String(error && error.message)) || [])[1]);
    if (status === 401) window.location.assign('/login?next=' + encodeURIComponent(PORTAL_START));
  },
  maxNumRequests: { interaction: 20, thumbnail: 5, prefetch: 10 },
  defaultDataSourceName: 'dicomweb',
  dataSources: [
    {
      namespace: '@ohif/extension-default.dataSourcesModule.dicomweb',
      sourceName: 'dicomweb',
      configuration: {
        friendlyName: 'Research PACS',
        name: 'portal',
        qidoRoot: PORTAL_ROOT,
        wadoRoot: PORTAL_ROOT,
        wadoUriRoot: PORTAL_ROOT,
        qidoSupportsIncludeField: true,
        supportsReject: false,
        supportsStow: false,
        supportsFuzzyMatching: false,
        supportsWildcard: true,
        imageRendering: 'wadors',
        thumbnailRendering: 'wadors',
        enableStudyLazyLoad: true,
        dicomUploadEnabled: false,
        omitQuotationForMultipartRequest: true,
        bulkDataURI: { enabled: true, relativeResolution: 'studies' },
      },
    },
  ],
};
