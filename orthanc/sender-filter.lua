-- The sender's account may store and ask whether Orthanc is there, nothing else. Orthanc calls this for every
-- request, with the method that a method override made of it (Orthanc Book, "Filtering incoming REST requests").
local sender = os.getenv('RPACS_ORTHANC_SENDER_USERNAME') or ''

function IncomingHttpRequestFilter(method, uri, ip, username, httpHeaders)
  if sender == '' or username ~= sender then
    return true
  end
  if method == 'GET' then
    return uri == '/system'
  end
  return method == 'POST' and (uri == '/instances' or uri == '/dicom-web/studies'
    or string.match(uri, '^/dicom%-web/studies/[0-9.]+$') ~= nil)
end
